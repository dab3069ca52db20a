#!/usr/bin/env python3
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""
Find words, long lines and long sentences that the project does not use in its texts.

Usage: scripts/prose.py [--figures] FILE...         Markdown, reStructuredText and YAML
       scripts/prose.py --python FILE...            strings and comments of Python files
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
import re
import sys
import tokenize

LINE_LENGTH = 100
SENTENCE_WORDS = 30

WORDS = {
    r'(it|card|node|line|command|file|table|model|name|nobody|nothing|which|that) (tells|says)':
        'reports, logs, prints, shows',
    r'mended|cured': 'fixed',
    r'believed|believes?': 'confidence, score, soft label weight',
    r'(beside|next to) (a|two|other|\d+|N)? ?busy( processes| neighbours)?':
        'under CPU load, with N busy processes',
    r'the whole (image|picture|frame|photograph)|and the whole\b': 'the full image',
    r'(is|are) there twice': 'duplicate',
    r'(box|boxes|object|objects) (goes|go) if|is dropped out': 'is suppressed (NMS), is discarded',
    r'(?<!param )wanted( at (most|least))?:|, wanted\b|(is|are|was) wanted': 'expected',
    r'(network|node|model|teacher|tile|student|camera|that|which|it) (looks at|sees?)':
        'runs on, receives as input',
    r'(run|training|search|download) that (is|was) cut': 'an interrupted run',
    r'to the last (bit|digit)': 'bit-exact, bit-identical',
    r'stands? (in|as)\b(?! for)': 'is in',
    r'(places?|cells?) (that )?(learns?|want)': 'prior, anchor point, positive sample',
    r'(by|off by) heart': 'overfits',
    r'whoever is as fast': 'latencies within 5 % count as equal',
    r'h(old|eld|olds) (\w+ ){0,5}against': 'compare with, check against',
    r'rubbish|spoiled|spoilt': 'malformed, corrupted',
    r'rivals|(busy|noisy) neighbours': 'competing processes',
    r'in steps of': 'with stride',
    r'(?<!feature )(?<!heat )(?<!activation )(?<!^)\bmaps (of|at|are|have|with|that|from)':
        'feature maps',
    r'(has|had|gets) its turn|turn of a tile': 'round-robin index',
    r'\d passes\b': 'forward passes',
    r"the robot's own (path|preprocessing)": 'the deployment pipeline',
    r'as it is now|as before|mended since|no longer': 'say what is, not what was',
    r'never dies?|goes on by itself|answered (in|with) one line': 'plain words',
    r'without a word|in silence': 'without a message',
    r'for good\b': 'permanently',
}
RULES = [(re.compile(rf'(?<!\w)(?:{pattern})', re.IGNORECASE), better)
         for pattern, better in WORDS.items()]
FENCE = re.compile(r'^\s*(```|~~~)')
ROW = re.compile(r'^\s*\|')
TEXT_TOKENS = {tokenize.STRING, tokenize.COMMENT,
               getattr(tokenize, 'FSTRING_MIDDLE', tokenize.STRING)}


def prose_lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """
    Yield number, text and whether it is a table row of each line of prose.

    Code blocks are left out, and tables that scripts/reference.py makes of strings in the code.
    """
    inside = generated = False
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), start=1):
        if FENCE.match(line):
            inside = not inside
        elif line.startswith(('<!-- generated', '<!-- end')):
            generated = line.startswith('<!-- generated')
        elif not inside and not generated:
            yield number, line, bool(ROW.match(line))


def python_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of strings and comments of a Python file."""
    with path.open('rb') as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in TEXT_TOKENS:
                for offset, line in enumerate(token.string.splitlines()):
                    yield token.start[0] + offset, line


def without_code(text: str) -> str:
    """Remove inline code and the targets of links."""
    return re.sub(r'\]\([^)]*\)', ']', re.sub(r'``?[^`]*``?', 'CODE', text))


def findings_of_words(lines: Iterator[tuple[int, str]], label: str) -> Iterator[str]:
    """Yield a message for each word that the table above replaces."""
    for number, text in lines:
        for rule, better in RULES:
            if match := rule.search(text):
                yield f'{label}:{number}: "{match.group().strip()}"; write: {better}'


def findings_of_lines(path: Path, label: str) -> Iterator[str]:
    """Yield a message for each line that is too long, tables and link targets left out."""
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), start=1):
        if len(line) > LINE_LENGTH and not ROW.match(line) and ' ' in line.strip():
            yield f'{label}:{number}: {len(line)} columns; expected at most {LINE_LENGTH}'


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each sentence outside of tables and code."""
    block, start = [], 0
    for number, line, is_row in [*prose_lines(path), (0, '', False)]:
        text = without_code(line).strip()
        if is_row or not text or text.startswith(('#', '<', '!', '[![')):
            yield from split_sentences(start, ' '.join(block))
            block = []
            continue
        if re.match(r'([*-]|\d+\.) ', text):
            yield from split_sentences(start, ' '.join(block))
            block = []
        if not block:
            start = number
        block.append(text)


def split_sentences(start: int, text: str) -> Iterator[tuple[int, str]]:
    """Split a paragraph at full stops, question marks and colons that end a clause."""
    for sentence in re.split(r'(?<=[.?!:])\s+', text):
        if sentence:
            yield start, sentence


def findings_of_sentences(path: Path, label: str) -> Iterator[str]:
    """Yield a message for each sentence that is too long."""
    for number, sentence in sentences(path):
        if (words := len(sentence.split())) > SENTENCE_WORDS:
            yield f'{label}:{number}: sentence of {words} words; expected at most {SENTENCE_WORDS}'


def check(path: Path, python: bool) -> list[str]:
    """Return all messages for one file."""
    label = str(path)
    if python:
        return list(findings_of_words(python_texts(path), label))
    lines = ((number, without_code(line)) for number, line, _ in prose_lines(path))
    found = list(findings_of_words(lines, label))
    if path.suffix == '.md':
        found += findings_of_lines(path, label)
        found += findings_of_sentences(path, label)
    return found


def figures(paths: list[Path]) -> str:
    """Return words, share of long lines and longest sentence of all pages."""
    lines = [line for path in paths for line in path.read_text(encoding='utf-8').splitlines()]
    long = sum(len(line) > LINE_LENGTH and not ROW.match(line) for line in lines)
    rows = sum(bool(ROW.match(line)) for line in lines)
    lengths = sorted(((len(text.split()), str(path)) for path in paths
                      for _, text in sentences(path)), reverse=True)
    over = sum(length > 25 for length, _ in lengths)
    words = sum(len(line.split()) for line in lines)
    return (f'{words} words, {long} of {len(lines) - rows} lines over '
            f'{LINE_LENGTH} columns; {over} of {len(lengths)} sentences over 25 words, '
            f'longest {lengths[0][0]} ({lengths[0][1]})')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('files', nargs='+', type=Path)
    parser.add_argument('--python', action='store_true',
                        help='check strings and comments of Python files')
    parser.add_argument('--figures', action='store_true',
                        help='print words, long lines and sentences of Markdown files')
    options = parser.parse_args()
    found = [line for path in options.files for line in check(path, options.python)]
    print(*found, sep='\n', end='\n' if found else '', file=sys.stderr)
    if options.figures:
        print(figures(options.files))
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
