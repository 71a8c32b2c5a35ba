"""A shell lexer: the simple commands of a command line, for the lint and the permissions. Pure."""

from __future__ import annotations

from runner.scopes.shell.reader import read_script as read_script
from runner.scopes.shell.words import Budget as Budget
from runner.scopes.shell.words import Script as Script
from runner.scopes.shell.words import Simple as Simple
from runner.scopes.shell.words import TooIntricate as TooIntricate
from runner.scopes.shell.words import Word as Word
