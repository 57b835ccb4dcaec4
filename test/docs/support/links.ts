/** Links of a page in Markdown to other files and to headings. */

/** Targets of its links and pictures, but for addresses (`https:`); what stands in listings and in code is none. */
export function linksOf(page: string): string[] {
  const text = page.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/(`+)[^`].*?\1(?!`)/g, (code) =>
    // A name of a file in backticks may be what is clicked on.
    code.replaceAll(/[[\]()]/g, ''),
  );
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets.filter((target) => !/^[a-z]+:/i.test(target));
}

/** What its headings are called in links (`#the-promises`), as GitHub makes it of them. */
export function anchorsOf(page: string): Set<string> {
  const text = page.replaceAll(/^```[\s\S]*?^```$/gm, '');
  const anchors = new Set<string>();
  for (const [, heading = ''] of text.matchAll(/^#{1,6} +(.*)$/gm)) {
    const plain = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim();
    anchors.add(plain.replaceAll(' ', '-'));
  }
  return anchors;
}
