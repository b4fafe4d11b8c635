"""Images, masks and tables in the files that others wrote."""
