"""Values and their order: what every other room talks about. Imports nothing of this project.

Every value is a frozen, slotted, keyword-only dataclass; every closed set is an enum. Nothing here reads a
clock, a disk or a network: time and identifiers arrive as arguments.
"""
