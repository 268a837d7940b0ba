"""The schema of a config: every key, its default, its meaning, its allowed values. Only here are defaults.

The sections of methods and of evaluations are in their folders of `ikem.methods` and `ikem.evaluations`.
"""
