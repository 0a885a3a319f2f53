// The chat follows what the bot writes; without scripts a reload does.
const chat = document.querySelector('#chat');
const down = () => { const lines = chat.querySelector('.lines'); lines.scrollTop = lines.scrollHeight; };

async function look() {
  const version = chat.querySelector('.lines').dataset.version;
  const query = new URLSearchParams({ who: chat.dataset.who, version });
  try {
    const answer = await fetch(`/phone/chat?${query}`);
    if (answer.status === 200) {
      chat.innerHTML = await answer.text();
      down();
    }
  } catch { /* the stand-in has stopped; it is asked again */ }
  setTimeout(look, 500);
}

down();
look();
