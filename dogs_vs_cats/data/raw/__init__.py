"""The source as it came: its photos, whatever the layout and the packing."""
