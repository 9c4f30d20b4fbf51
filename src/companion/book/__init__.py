"""What the chapters call: findings, examples, glue, and running a chapter with other parameters."""
