"""Photos one by one, and the folder that holds those that are used."""
