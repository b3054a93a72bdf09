"""Module binaries and the release catalog: bytes and tables in, values out. No disk, no network, no clock."""
