"""From a source of photos to the arrays that models take."""
