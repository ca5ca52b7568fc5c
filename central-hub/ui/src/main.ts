// Opens the room in the page.

import { mount } from 'svelte';
import App from './App.svelte';
import './style.css';

const target = document.getElementById('room');
if (target === null) throw new Error('index.html has no element with the id "room"');
mount(App, { target });
