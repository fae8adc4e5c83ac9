"""`python -P -m service`."""

import sys

from service import supervisor

if __name__ == "__main__":
    sys.exit(supervisor.main())
