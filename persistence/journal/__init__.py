"""Write-behind: drains the journal of every event into Postgres.

A journal entry: read (delivered to one writer) -> written (its transaction committed) ->
acknowledged. If the writer dies before the acknowledgement, the entry is redelivered and written
again, which changes nothing.

An entry that Postgres rejects is redelivered. After `TRIES_MAX` rejections, or at once when a
restore has decided about the booking without it, it is set aside as a dead letter.
`engine reconcile --repair` writes it again; what still fails is for a person to decide.
"""
