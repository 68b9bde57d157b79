"""What every stage and command begins and ends with: settings, errors as one line, outputs that appear whole."""
