"""The command line: commands, what they print, and the exit codes.

    app.py         the commands by name, and how every ending becomes an exit code
    exits.py       the table of exit codes
    lazy.py        groups whose commands are imported when they are used
    streams.py     standard output and error: records, text, a reader who has gone
    signals.py     Ctrl-C once, twice, three times
    batch_run.py, run.py, check.py, doctor.py, schema.py    one command each
    progress.py    what is shown while a batch runs; board.py is the state behind it

Nothing but commands is here: whatever a command does can be done without it.
`runner --help` imports click and little else.
"""
