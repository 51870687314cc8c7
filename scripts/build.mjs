// npm run build: the npm package in dist/, and its tarball in .cache/.
import { verb } from "./lib/run.mjs";
import { packages, rust, sdk } from "./lib/steps.mjs";

verb(async () => {
  await packages();
  await rust();
  await sdk();
});
