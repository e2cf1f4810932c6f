"""The way in: `python -m app`. The standard library is made cooperative before anything else is imported."""

from gevent import monkey

monkey.patch_all()

from app.cli import main  # noqa: E402  patching comes first

if __name__ == "__main__":
    main(prog_name="python -m app")
