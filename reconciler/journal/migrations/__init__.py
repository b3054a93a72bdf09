"""How the tables came to be what they are: one file a format, for SQLite and PostgreSQL alike.

The rules:
- Every journal is made by these, the new one too. `tables.py` says what they come to; a test compares the two.
- All that an opening has to do is one transaction: who is killed in it leaves the journal as it was.
- A file here is never changed once it was released; it imports nothing of this package, so that it means tomorrow what
  it means today.
"""
