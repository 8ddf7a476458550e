"""`python -m physics.tasks` prints docs/tasks.md."""

from .document import document

if __name__ == "__main__":
    print(document(), end="")
