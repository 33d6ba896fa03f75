"""index, extract, caption, curate, shard: one file, one stage, one way to be read.

Each file has its `STAGE` (name, version, row schema), `ingredients` (what shapes its bytes), `plan` (its units) and
`run` (one task in, rows and outcomes out, no file written). The engine runs and commits them.
"""
