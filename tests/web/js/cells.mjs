// Reads ROC curves with class counts and thresholds, and writes the cells and metrics the dashboard shows at each threshold.

import { cellsAt, metricsOf, stepsOf } from "../../../service/web/static/charts/operating.js";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const answers = JSON.parse(Buffer.concat(chunks)).map(({ roc, positives, negatives, thresholds }) => {
  const steps = stepsOf(roc, positives, negatives);
  return thresholds.map((threshold) => ({ cells: cellsAt(steps, threshold), metrics: metricsOf(cellsAt(steps, threshold)) }));
});
process.stdout.write(JSON.stringify(answers));
