// Reads cases from standard input and writes what the loss explorer's formulas make of them.
// A case has the terms or a loss and class shares, and the points `[target, margin]`.

import { lossAt, termsOf } from "../../../service/web/static/charts/losses.js";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const answers = JSON.parse(Buffer.concat(chunks)).map(({ loss, shares, terms, points }) => {
  const used = terms ?? termsOf(loss, shares);
  return { terms: used, values: points.map(([target, margin]) => lossAt(used, target, margin)) };
});
process.stdout.write(JSON.stringify(answers));
