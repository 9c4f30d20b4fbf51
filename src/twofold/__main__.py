"""``python -m twofold``: the command."""

from twofold.command import main

if __name__ == "__main__":
    main()
