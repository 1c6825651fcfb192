// A click on a heading of index.html sorts the clips by that column's values, a second one the other way round.
'use strict';

for (const heading of document.querySelectorAll('#clips th:not(.picture)')) {
  const button = document.createElement('button'), column = heading.cellIndex;
  button.textContent = heading.textContent; heading.replaceChildren(button);
  button.addEventListener('click', () => {
    const down = heading.getAttribute('aria-sort') === 'ascending', body = document.querySelector('#clips tbody');
    for (const other of heading.parentNode.children) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const key = row => (row.cells[column].dataset.sort ?? row.cells[column].textContent).trim();
    const byValue = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, {numeric: true}) : a - b;
    const order = (a, b) => a && b ? (down ? -1 : 1) * byValue(a, b) : !a - !b;  // what is empty comes last
    body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
  });
}
