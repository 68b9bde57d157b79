"""Check ``params.yaml`` as a whole and leave its JSON schema, which editors complete and check with."""

import json

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.settings.params import Settings


def main() -> None:
    """Check the settings, write the schema."""
    arguments = parse_arguments("Check params.yaml as a whole", schema="JSON schema to write")
    with whole_file(arguments.schema) as schema:
        schema.write_text(json.dumps(Settings.model_json_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
