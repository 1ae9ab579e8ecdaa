'use strict';
// Shows the sentence of a dot, in both maps at once: under the pointer, or by the arrow keys.
(() => {
  const maps = [...document.querySelectorAll('.map')];
  const output = document.getElementById('sentence');
  let here = -1;
  const show = (index) => {
    here = index;
    for (const map of maps) {
      map.querySelectorAll('.here').forEach((dot) => dot.classList.remove('here'));
      const dot = map.querySelector(`circle[data-i="${index}"]`);
      if (!dot) continue;
      dot.classList.add('here');
      output.textContent = dot.querySelector('title').textContent;
    }
  };
  for (const map of maps) {
    map.addEventListener('pointerover', (event) => {
      const dot = event.target.closest('circle');
      if (dot) show(Number(dot.dataset.i));
    });
    map.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const count = map.querySelectorAll('circle').length;
      if (!step || !count) return;
      event.preventDefault();
      show((here + step + count) % count);
    });
  }
})();
