"""What a report tabulates as text and as files."""
