"""The study: its plan, its runs, their results, and what they say."""
