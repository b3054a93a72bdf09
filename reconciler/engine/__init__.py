"""Several workers on one journal in PostgreSQL: who begins the pass of a product, when each process could.

The rules:
- The engine is Procrastinate: one job is one pass of one product, `lock` and `queueing_lock` are the product. Finding
  jobs, heartbeats and waking up are its own.
- When a product is due stands in `turns`, never in a job's `schedule_at`. Every worker asks every second and defers
  what is due; what is waiting already is left alone, so a job that is lost heals itself.
- Nothing of safety rests on it. That a device is not acted on by two is the journal's: the epochs, and the one open
  attempt of a device.

Why at the top: a controller in one process needs none of it, and the extra `postgres` brings it along.
"""
