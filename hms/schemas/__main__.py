"""Write the schema files anew: `python -m hms.schemas`."""

from hms.schemas import DIRECTORY, schema_files

for name, content in schema_files().items():
    (DIRECTORY / name).write_bytes(content)
