"""From the figures of the evaluations to the long table, the tables, the figures and the report."""
