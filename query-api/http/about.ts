/** The head of the OpenAPI document: what the query API is, and what its groups of routes are for. */
export const about = {
  title: 'Ad click counts: query API',
  description:
    'Exact clicks of each ad in each minute. Every answer has its state and the watermark that it is based on. Times are in UTC.',
  tags: {
    filters: 'Filters with a name, which requests use as `filter=`',
    ads: 'Clicks of ads, top lists, series, and how final counts were changed',
    clicks: 'What became of one click',
    jobs: 'Recounts, and comparisons with raw clicks',
    pipeline: 'How far counting has come, whether the sums agree, what was not counted, and what is happening now',
    exports: 'All rows of a range, for other programs',
    users: 'To erase a person, and to show a person what is kept',
    audit: 'Who has done what, when, and from where',
    rules: 'By which rules clicks are invalid, and from which minute on',
    keys: 'API keys, which a key with scope admin makes and ends, and who is signed in with one',
  },
};
