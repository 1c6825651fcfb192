// The editor of who is who on a report page. It changes nothing on the disk: it saves the clip's rows of people.csv,
// which `vidfer report RESULTS --people people.csv` takes over. Rows are as vidfer/people/table.py describes them.
'use strict';

const editor = document.getElementById('people-editor');
if (editor && data.people) {
  const {columns, labels, spans} = data.people, body = editor.querySelector('tbody');
  const note = document.getElementById('people-note');
  const start = data.people.rows.map((row, number) => ({...row, label: labels[number]}));
  let rows = start.map(row => ({...row}));

  const parts = text => (text || '').split(/[\s,;]+/).filter(Boolean).map(word => {
    const [face, at] = word.split('@');
    return {face: +face, start: at ? at.split(':').reduce((sum, piece) => 60 * sum + +piece, 0) : 0};
  });
  const minutes = seconds => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(3).padStart(6, '0')}`;
  const faceIds = list => list.sort((a, b) => a.face - b.face || a.start - b.start)
    .map(part => part.face + (part.start ? '@' + minutes(part.start) : '')).join(' ');
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

  // What of a row's faces comes before a moment, and what after it.
  function divided(row, at) {
    const before = [], after = [];
    for (const part of parts(row.face_ids)) {
      const [first, last] = spans[part.face] || [0, Infinity];
      if (part.start >= at || first >= at) after.push(part);
      else {
        before.push(part);
        const later = parts(rows.map(other => other.face_ids).join(' ')).some(other =>
          other.face === part.face && other.start > part.start && other.start <= at);
        if (last >= at && !later) after.push({face: part.face, start: at});
      }
    }
    return {before, after};
  }

  function split(row) {
    const at = Math.round(now * 1000) / 1000, {before, after} = divided(row, at);
    if (!before.length || !after.length) {
      note.textContent = `Nothing to split at ${clock(at)}: go to a moment within the time of ${row.name || row.label}.`;
      return;
    }
    row.face_ids = faceIds(before);
    rows.splice(rows.indexOf(row) + 1, 0, {clip: row.clip, face_ids: faceIds(after), include: row.include, seen_at: row.seen_at,
      label: `${row.name || row.label} from ${clock(at)}`});
    changed();
  }

  function merge(row, other) {
    row.face_ids = faceIds([...parts(row.face_ids), ...parts(other.face_ids)]);
    row.seen_at = [row.seen_at, other.seen_at].filter(Boolean).join(' ');
    row.name = row.name || other.name;
    rows = rows.filter(one => one !== other);
    changed();
  }

  function field(row, column, placeholder) {
    const input = make('input', {value: row[column] || '', placeholder, maxLength: 80, ariaLabel: column});
    input.addEventListener('change', () => { row[column] = input.value.trim(); changed(); });
    return input;
  }

  function draw() {
    body.replaceChildren(...rows.map(row => {
      const line = make('tr', {}), counts = make('input', {type: 'checkbox', checked: row.include !== 'no', ariaLabel: 'counts'});
      counts.addEventListener('change', () => { row.include = counts.checked ? 'yes' : 'no'; changed(); });
      const same = make('select', {ariaLabel: 'same as'});
      same.append(make('option', {textContent: '–'}), ...rows.filter(other => other !== row).map(other =>
        make('option', {textContent: other.name || other.label, value: rows.indexOf(other)})));
      same.addEventListener('change', () => merge(row, rows[+same.value]));
      const here = make('button', {type: 'button', textContent: 'split here'});
      here.addEventListener('click', () => split(row));
      for (const content of [field(row, 'name', row.label), field(row, 'role', ''), counts, row.face_ids, same, here]) {
        const box = make('td', {});
        box.append(content);
        line.append(box);
      }
      return line;
    }));
  }

  function changed() {
    note.textContent = 'Not saved yet.';
    draw();
  }

  const guarded = text => /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;  // as vidfer/spreadsheet.py: no formulas
  const cellOf = text => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

  document.getElementById('save-people').addEventListener('click', () => {
    const lines = [columns, ...rows.map(row => columns.map(column => guarded(String(row[column] ?? ''))))];
    const text = '\ufeff' + lines.map(line => line.map(cellOf).join(',') + '\n').join('');
    const link = make('a', {href: URL.createObjectURL(new Blob([text], {type: 'text/csv'})), download: 'people.csv'});
    link.click();
    note.textContent = 'Saved. Now run: vidfer report RESULTS --people people.csv';
  });
  document.getElementById('undo-people').addEventListener('click', () => {
    rows = start.map(row => ({...row}));
    draw();
    note.textContent = '';
  });
  draw();
}
