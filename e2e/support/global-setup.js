// Starts one server with isolation headers and one without, for the whole run.

import { serve } from './server.js';

export default async function setup() {
  const servers = [await serve(), await serve({ isolated: false })];
  process.env.CROSSOVER_URL = servers[0].url;
  process.env.CROSSOVER_PLAIN_URL = servers[1].url;
  return () => Promise.all(servers.map((server) => server.stop()));
}
