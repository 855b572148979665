(() => {
  'use strict';
  const said = document.getElementById('said');

  // copying: the clipboard's own interface is there with TLS alone
  const select = (text) => {
    const area = document.createElement('textarea');
    area.value = text;
    area.setAttribute('readonly', '');
    area.className = 'unseen';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return select(text);
    }
  };
  for (const button of document.querySelectorAll('.copy')) button.hidden = false;
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('.copy');
    if (!button) return;
    const text = button.dataset.copy ?? button.closest('.snippet').querySelector('pre').textContent + '\n';
    const done = await copy(text);
    button.focus();
    button.textContent = done ? 'Copied' : 'Select it';
    said.textContent = done ? 'Copied' : 'The browser did not let it be copied';
    setTimeout(() => { button.textContent = 'Copy'; said.textContent = ''; }, 2000);
  });

  // the filter: words that all have to be in a row
  const filter = document.getElementById('filter');
  if (filter) {
    const find = document.getElementById('find');
    const rows = [...document.querySelectorAll('[data-filtered] tbody tr')].map((row) => [row, row.textContent.toLowerCase()]);
    const folded = [...document.querySelectorAll('[data-filtered] details')];
    const asWas = folded.map((each) => each.open);
    const apply = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const [row, text] of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        if (!row.hidden) count += 1;
      }
      folded.forEach((each, index) => {
        const has = each.querySelector('tbody tr:not([hidden])') !== null;
        each.hidden = !has;
        each.open = words.length ? has : asWas[index];
      });
      document.getElementById('found').textContent = words.length ? `${count} of ${rows.length}` : '';
    };
    filter.hidden = false;
    filter.addEventListener('submit', (event) => event.preventDefault());
    find.addEventListener('input', apply);
    if (find.value) apply();
  }

  // first boots: the server says when something changed, and the table is fetched again
  let live = document.getElementById('live');
  if (live) {
    const link = document.getElementById('link');
    let loaded = performance.now();
    const age = (seconds) => {
      const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
      if (!minutes) return `${Math.floor(seconds)} s`;
      if (!hours) return `${minutes} min`;
      return days ? `${days} d ${hours % 24} h` : `${hours} h ${minutes % 60} min`;
    };
    setInterval(() => {
      const passed = (performance.now() - loaded) / 1000;
      for (const each of live.querySelectorAll('[data-age]')) each.textContent = age(Number(each.dataset.age) + passed);
    }, 1000);
    const refresh = async () => {
      const answer = await fetch('/boots', { cache: 'no-store' });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('live');
      if (!fresh) return;
      for (const each of live.querySelectorAll('details[open]')) {
        const same = fresh.querySelector(`[data-node="${CSS.escape(each.dataset.node)}"]`);
        if (same) same.open = true;
      }
      const summary = fresh.querySelector('.states').textContent.replace(/\s+/g, ' ').trim();
      if (summary !== live.querySelector('.states').textContent.replace(/\s+/g, ' ').trim()) said.textContent = summary;
      live.replaceWith(fresh);
      live = fresh;
      loaded = performance.now();
    };
    // each answer of the stream ends after one event; two ends without an answer between are a loss
    let ends = 0;
    const show = () => {
      link.className = ends > 1 ? 'link lost' : 'link';
      link.textContent = ends > 1 ? 'no answer, trying again' : 'live';
    };
    const listen = () => {
      const source = new EventSource(`/boots/events?since=${encodeURIComponent(live.dataset.version)}`);
      source.addEventListener('open', () => { ends = 0; show(); });
      source.addEventListener('change', () => refresh().catch(() => {}));
      source.addEventListener('error', () => {
        ends += 1;
        if (source.readyState === EventSource.CLOSED) {
          ends += 1;
          setTimeout(listen, 5000);
        }
        show();
      });
    };
    show();
    listen();
  }
})();
