"""Every setting: its field, where its text comes from, and what that text must look like."""
