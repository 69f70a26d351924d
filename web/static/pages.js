// What a page does in the browser alone, without asking the server what it looks like.

// Let the browser go: its session, or all sessions of the person; and leave the identity provider where that is set up.
async function signOut(everywhere) {
  const answer = await fetch(`/api/v1/session?everywhere=${everywhere}`, {method: 'DELETE'});
  location.href = answer.status === 200 ? (await answer.json()).continue_at : '/login';
}

// Copy what stands in a field. Browsers keep the clipboard for https; without it the older way is taken.
async function copyText(button, field) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    if (!document.execCommand('copy')) { button.textContent = 'Press Ctrl+C'; return; }
  }
  button.textContent = 'Copied';
}
