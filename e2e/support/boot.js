// What the worker finds in its browser, changed before the engine looks.

/** Runs `code` in every worker of the page before anything else there. */
export const beforeEngine = (page, code) =>
  page.route('**/worker-boot.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${code}\n${await response.text()}` });
  });
