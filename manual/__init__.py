"""Makes the site of the documents: pages from the code, links that hold in the repository too."""
