// Changes the worker's environment before the engine reads it.

/** Runs `code` in every worker of the page before any other code. */
export const beforeEngine = (page, code) =>
  page.route('**/worker-boot.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${code}\n${await response.text()}` });
  });
