'use strict';
(() => {
  // The answer to a request, or an error with the server's words.
  const post = async (path, body) => {
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error || `status ${response.status}`);
    return answer;
  };
  const element = (name, text, of) => {
    const made = document.createElement(name);
    if (of) made.className = of;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const item = ({ score, text, id, rank, ...fields }) => {
    const li = element('li');
    const meter = element('meter');
    meter.value = Math.max(0, score);
    meter.setAttribute('aria-hidden', 'true');
    const [left, right] = [element('div'), element('div')];
    left.append(element('span', score.toFixed(4), 'score'), meter);
    right.append(element('bdi', text, 'text'));
    const others = Object.entries(fields).map(([name, value]) => `${name}: ${value}`).join(' · ');
    if (others) right.append(element('bdi', others, 'fields'));
    li.append(left, right);
    return li;
  };
  // Shows in a section what `find` gives for its form. Of several requests, the last one counts.
  const connect = (id, find) => {
    const section = document.getElementById(id);
    const [form, status, list] = ['form', '[role=status]', '.hits'].map((part) => section.querySelector(part));
    const button = form.querySelector('button');
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      button.disabled = true;
      status.classList.remove('error');
      status.textContent = '…';
      const started = performance.now();
      try {
        const found = await find();
        list.replaceChildren(...found.map(item));
        status.textContent = `${found.length} in ${Math.round(performance.now() - started)} ms`;
      } catch (error) {
        list.replaceChildren();
        status.classList.add('error');
        status.textContent = error.message;
      } finally {
        button.disabled = false;
      }
    });
  };
  const value = (id) => document.getElementById(id).value;
  connect('search', async () => (await post('/search', { query: value('query') }))[0]);
  connect('similarity', async () => {
    const others = value('others').split('\n').filter((line) => line.trim());
    const [first, ...rest] = await post('/embed', { inputs: [value('sentence-of'), ...others] });
    const dot = (other) => other.reduce((sum, value, at) => sum + value * first[at], 0);
    return rest.map((other, at) => ({ score: dot(other), text: others[at] })).sort((a, b) => b.score - a.score);
  });
  const body = '\'{"inputs": ["a sentence", "another one"]}\'';
  document.getElementById('example').textContent =
    `curl ${location.origin}/embed -H 'Content-Type: application/json' \\\n  -d ${body}`;
})();
