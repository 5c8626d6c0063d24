"""`python -m hms.cli` is `hms`."""

from hms.cli.main import main

main()
