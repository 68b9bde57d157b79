"""What scripts begin and end with: options, settings, errors as one line, outputs that appear whole."""
