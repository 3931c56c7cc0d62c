"""`callsign help TOPIC`: what README leaves out, one text in help/ for each topic; its first line is its title."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files

from callsign.commands import common

EPILOG = """\
examples:
  callsign help
  callsign help messages | grep -A3 'cannot be written'

exit status: 0 done, 2 there is no such topic"""

TEXTS = files("callsign.commands") / "help"


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="none: lists the topics")


def run(options: common.Options) -> int:
    """Prints a topic's text, or the topics."""
    titles = topics()
    if options.topic is None:
        for topic, title in titles.items():
            print(f"{topic:<14} {title}")
        return common.DONE
    if options.topic not in titles:
        near = "".join(f", did you mean {name}?" for name in get_close_matches(options.topic, titles, n=1))
        raise common.UsageFault(f"there is no topic {options.topic!r}{near or ';'} there are: {', '.join(titles)}")
    print((TEXTS / f"{options.topic}.txt").read_text("utf-8"), end="")
    return common.DONE


def topics() -> dict[str, str]:
    """Each topic with its title."""
    names = sorted(text.name for text in TEXTS.iterdir() if text.name.endswith(".txt"))
    return {name.removesuffix(".txt"): (TEXTS / name).read_text("utf-8").partition("\n")[0] for name in names}
