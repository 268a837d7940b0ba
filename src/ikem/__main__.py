"""`python -m ikem`."""

from ikem.cli import main

main()
