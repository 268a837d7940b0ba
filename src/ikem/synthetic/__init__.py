"""Made recordings of moving bodies, written in the raw formats of the real datasets.

`settings.SyntheticSettings` says what is generated; `ntu.write_ntu`, `pkummd.write_pkummd` and `ntu.clips` generate it.
Nothing is imported here: a config must not load compilers and archivers to be validated.
"""
