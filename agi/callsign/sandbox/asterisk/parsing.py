"""How Asterisk takes a line apart: the words of an AGI command and the arguments of an application.

Both rules were held against Asterisk 16.28 and 22.10 with random lines; they differ from a shell's and from
each other. Text is `str` with undecodable bytes as surrogates; only ASCII characters mean anything here.
"""

from __future__ import annotations

MOST_WORDS = 127
"""Words that res/res_agi.c has room for in one command (MAX_ARGS less the closing NULL)."""


def split_words(line: str) -> list[str]:
    """The words of an AGI command (res/res_agi.c, parse_args).

    Space and tab separate; `"` opens or closes a quotation anywhere in a word and vanishes; a backslash
    vanishes and protects the next character, inside and outside quotations; pieces that touch are one word.
    A quotation that is never closed reaches to the end. Words after the 127th are dropped. Never fails.
    """
    words: list[list[str]] = []
    in_word = quoted = escaped = False
    for character in line:
        if not escaped:
            if character == "\\":
                escaped = True
                continue
            if character == '"':
                quoted = not quoted
                if quoted and not in_word:
                    words.append([])
                    in_word = True
                continue
            if character in " \t" and not quoted:
                in_word = False
                continue
        escaped = False
        if not in_word:
            words.append([])
            in_word = True
        words[-1].append(character)
    return ["".join(word) for word in words[:MOST_WORDS]]


def split_arguments(text: str, separator: str = ",", most: int = 128) -> list[str]:
    """The arguments of a dialplan application (main/app.c, __ast_app_separate_args).

    `separator` parts them except inside a quotation, `()` or `[]`; `"` vanishes; a backslash vanishes and
    protects the next character. Argument number `most` is whatever is left then, taken as it stands. A
    separator at the very end gives one more, empty argument. Never fails.
    """
    arguments: list[str] = []
    position, after_separator = 0, False
    depth = {"(": 0, "[": 0}
    quoted = False
    while position < len(text) and len(arguments) < most - 1:
        argument: list[str] = []
        after_separator = False
        while position < len(text):
            character = text[position]
            position += 1
            if character in "([":
                depth[character] += 1
            elif character in ")]":
                opened = "(" if character == ")" else "["
                depth[opened] = max(0, depth[opened] - 1)
            elif character == '"':
                quoted = not quoted
                continue
            elif character == "\\":
                argument.append(text[position : position + 1])
                position += 1
                continue
            elif character == separator and not quoted and not any(depth.values()):
                after_separator = True
                break
            argument.append(character)
        arguments.append("".join(argument))
        # `a,""`: nothing was kept since the separator, so Asterisk takes the end for one more empty argument.
        if not after_separator and not argument and len(arguments) > 1:
            after_separator = True
    if position < len(text) or after_separator:
        arguments.append(text[position:])
    return arguments
