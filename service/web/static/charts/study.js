// All charts of a study.

import "./forest.js";
import "./study-curves.js";
