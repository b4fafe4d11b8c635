"""The command line, whose training streams whatever it trains on, in the processes of a sweep too."""

from activmask_cli.app import main

from activmask.training.feed import stream

stream.RESIDENT_BYTES = 0
stream.worker_count = lambda *_: 1

if __name__ == "__main__":
    main()
