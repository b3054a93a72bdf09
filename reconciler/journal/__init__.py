"""The record of attempts: what was intended, sent and learnt, in the order in which it happened.

The rules:
- One promise, `journal.Journal`: kept by `memory` for tests and rehearsals, by `sqlite` for one machine, by `postgres`
  for several. The last two are one `sql.SqlJournal` on two kinds of `store.Database`.
- Limits that must hold whoever writes (epochs, slots, rates) are checked in the transaction that writes.
- An attempt is durable before its request leaves, and a device has at most one open attempt, by a unique index.
- Attempts, their moves, the requests that left and what others changed are only ever added to, and removed by a
  compaction alone; of what a device was last seen to be only the last is kept, and written when it is another.
- What cannot be read or written raises `JournalError`; nothing is repaired or overwritten by this room.

Why: after a crash or a lost answer nobody can know whether a request arrived. A record that was durable beforehand says
which devices to look at again. The world itself is observed, never remembered: what was seen last only tells what
somebody else has changed since.
"""
