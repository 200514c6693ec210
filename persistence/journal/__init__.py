"""Write-behind: drains the journal of every event into Postgres."""
